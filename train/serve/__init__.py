"""A finished run as a web page and a JSON API."""

from train.serve.pictures import Limits, Refused
from train.serve.server import Server

__all__ = ["Limits", "Refused", "Server"]
