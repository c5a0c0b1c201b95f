"""What a config needs of a GPU, before there is one."""
