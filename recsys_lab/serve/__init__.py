"""Serving in real time: session memory, retrieval, and the shop that puts them together.

Importing this package loads nothing heavy; take what is needed from its modules.
"""
