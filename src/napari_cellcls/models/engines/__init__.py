"""Engines that run a network: one module each, the same few methods, imported only when chosen."""
