"""The routes: HTTP in, HTTP out. Policies are in :mod:`app.edge`, models in :mod:`app.model`."""
