"""All models and methods of a study side by side: agreement, closure, deep against linear, recovery of a truth."""
