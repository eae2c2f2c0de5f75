"""Study: questions, graded exercises and problems, for a reader who wants to be able to do it."""
