"""Use cases of the centre: a request in, a result out; no word for people, no option, no table."""
