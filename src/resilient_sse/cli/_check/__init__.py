"""``resilient-sse check``: is this server fit for clients that reconnect?"""
