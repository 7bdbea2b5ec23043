# SPDX-License-Identifier: Apache-2.0
EXTRA_DIST += %D%/layers.txt
LINT_SCRIPTS = %D%/check_layers.sh %D%/check_style.sh %D%/check_paths.sh
dist_check_SCRIPTS += $(LINT_SCRIPTS)
TESTS += $(LINT_SCRIPTS)
