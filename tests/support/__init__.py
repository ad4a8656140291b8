"""What several tests need: real things in a temporary directory. Never a stand-in for our own code."""
