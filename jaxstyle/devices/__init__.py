"""What a run computes on: settings of jax, memory, compiled programs, and images spread over several devices."""
