"""`credstore-init`: tables and seeds before the application starts, in a container or outside of one."""
