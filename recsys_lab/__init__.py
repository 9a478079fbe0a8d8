"""A teaching lab on recommender systems driven by real-time behaviour."""

__version__ = "0.3.0"
