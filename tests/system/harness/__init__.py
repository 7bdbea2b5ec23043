# SPDX-License-Identifier: Apache-2.0
"""What the system tests share: servers, the counting proxy, mounts, and the checks themselves."""
