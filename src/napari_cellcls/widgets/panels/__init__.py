"""Views: each shows one part of the session and emits what the user asks for. None decides."""
