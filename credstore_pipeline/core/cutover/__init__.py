"""The end of the window: the source frozen, taken over a last time, recorded, and watched from then on."""
