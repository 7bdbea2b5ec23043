# SPDX-License-Identifier: Apache-2.0
EXTRA_DIST += %D%/layers.txt %D%/README.md
lint_scripts = %D%/check_layers.sh %D%/check_style.sh %D%/check_paths.sh %D%/check_readme.sh \
	%D%/check_python.py
lint_scripts += %D%/check_crash.sh
dist_check_SCRIPTS += $(lint_scripts)
TESTS += $(lint_scripts)
