/* SPDX-License-Identifier: Apache-2.0 */
#include "stop.h"

#include <signal.h>
#include <stdatomic.h>
#include <stddef.h>
#include "base/macros.h"

static atomic_int came;

static void on_signal(int number)
{
    atomic_store(&came, number);
}

void stop_install(void)
{
    static const int numbers[] = {SIGINT, SIGTERM, SIGHUP};
    struct sigaction act = {.sa_handler = on_signal, .sa_flags = SA_RESTART | (int)SA_RESETHAND};

    atomic_store(&came, 0);
    sigemptyset(&act.sa_mask);
    for (size_t i = 0; i < ARRAY_LEN(numbers); i++)
        sigaction(numbers[i], &act, NULL);
}

int stop_signal(void)
{
    return atomic_load(&came);
}
