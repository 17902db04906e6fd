"""Neurons of the user's own, recognized from the operations of their forward."""
