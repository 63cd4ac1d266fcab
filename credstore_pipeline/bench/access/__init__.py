"""Measures the application's access to SQLite beside `CredentialStore` on PostgreSQL, for one client and many."""
