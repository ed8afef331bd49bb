"""What an operator does at the desk: record, hand over, close the day."""
