"""Lines to the hub: each turns its library's errors into ours."""
