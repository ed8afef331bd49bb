"""The demo: three offices of Kota Kupang, one loses its line, the broker is purged, everything converges."""
