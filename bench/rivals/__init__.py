"""What others do with the same records: programs that `bench.competitors` starts."""
