"""The examples of a batch in a program: where they lie, whether they meet, what each adds."""
