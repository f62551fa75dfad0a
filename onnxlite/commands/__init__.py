"""The subcommands of ``onnxlite``, one file each: ``add_arguments(parser)`` and ``main(options) -> exit status``."""
