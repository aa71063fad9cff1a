"""Background jobs: batches activity writes and deletes expired rows. Jobs for runs are in `amplifier/runtime`."""
