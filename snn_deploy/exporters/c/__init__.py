"""Write a compiled network as C99 that needs no library, its cutoff inside.

``layout`` says where everything lies, ``code`` what computes, ``decision`` when it
stops, ``vector`` what it must give; ``folder`` writes them.
"""
