"""Card stock of all offices, as their reports and the hub's allotments add up."""
