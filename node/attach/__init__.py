"""What is too large for an event and follows it: sealed here, sent when the line has nothing better to do."""
