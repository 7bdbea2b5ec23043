/* SPDX-License-Identifier: Apache-2.0 */
/* One client connection and its connection to the server. */
#ifndef S3PROXY_RELAY_H
#define S3PROXY_RELAY_H

/* Serves requests of the client until either side ends; closes the socket. */
void relay_run(int client, int upstream_port);
/* Milliseconds that each request waits before it is forwarded. */
void relay_set_rtt(unsigned ms);
/* A connection to 127.0.0.1:port, or -1. */
int relay_connect(int port);

#endif
