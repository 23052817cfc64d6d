"""The models behind the proxy: by HTTP, in this process, and translated from one API to another."""
