"""Files: arrays without pickle, written whole or not at all."""
