"""Reading what strangers wrote, and writing files whole or not at all."""
