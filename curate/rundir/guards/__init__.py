"""What keeps a run whole: who made it, who works on it, whether its files are as they were written."""
