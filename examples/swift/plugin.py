"""For ms-swift's --external_plugins: `swift rlhf --rlhf_type grpo --external_plugins plugin.py ...`

ms-swift runs this file in every process while it reads its arguments, and puts the folder of the
file in front of `sys.path`: keep no file here that has the name of a package.
"""

import bontea.integrations.swift  # noqa: F401
