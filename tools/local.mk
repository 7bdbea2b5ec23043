# SPDX-License-Identifier: Apache-2.0
EXTRA_DIST += %D%/README.md %D%/check %D%/quickstart %D%/lib.sh .ci/run
