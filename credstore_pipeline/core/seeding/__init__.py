"""What a fresh installation starts with: the application's default tags, and credentials where passwords are given."""
