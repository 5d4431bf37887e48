"""What can go wrong in a run: whose fault it is decides the exit code."""


class ConfigurationError(ValueError):
    """What was asked for makes no sense, whatever the data are."""


class DataError(ValueError):
    """The data of a file are not what the job needs."""


class StoreLocked(RuntimeError):
    """Another run works on the store."""


class StoreUnavailable(ConnectionError):
    """The store cannot be reached, read or written; nothing is wrong with the data."""


class SourceUnavailable(ConnectionError):
    """A database does not answer; nothing is wrong with the data."""
