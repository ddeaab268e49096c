"""Training from a running engine: engines offer themselves as a vector environment, trainers serve `EnvironmentService`."""
