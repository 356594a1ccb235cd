"""Accuracy and speed beside simple methods and peers: a script a claim, tables and charts committed beside them."""
