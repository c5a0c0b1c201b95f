"""Models from files: checkpoints, exports, folders of other projects."""
