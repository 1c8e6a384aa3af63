/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* SPDX-FileCopyrightText: The pmemd authors */
#include "daemon/sigbus-guard.h"

#include <errno.h>
#include <glib.h>
#include <setjmp.h>
#include <signal.h>

/* Where the innermost guarded call of this thread is left to; the handler has no other way to find it. */
static _Thread_local sigjmp_buf *volatile innermost;

static void on_sigbus(int signum, siginfo_t *info, void *context) {
    (void) context;
    /* News of an error somewhere in a map of ours, sent when the kernel found it: whoever touches the place gets a
     * fault of his own, and nothing that runs now has to do with it. */
    if (info->si_code == BUS_MCEERR_AO)
        return;
    /* Memory errors only: a SIGBUS that somebody sent says nothing about the medium. */
    if (innermost && (info->si_code == BUS_ADRERR || info->si_code == BUS_MCEERR_AR))
        siglongjmp(*innermost, 1);

    struct sigaction sa = { .sa_handler = SIG_DFL };
    sigaction(signum, &sa, NULL);
    /* A fault repeats itself on return and now kills; what was sent must be sent again. */
    if (info->si_code <= 0)
        (void) raise(signum); /* if not even that works, the next fault kills */
}

void medium_guard_install(void) {
    /* Not deferred, because a jump out of the handler leaves the mask as it is. */
    struct sigaction sa = { .sa_sigaction = on_sigbus, .sa_flags = SA_SIGINFO | SA_NODEFER };
    sigemptyset(&sa.sa_mask);
    int r = sigaction(SIGBUS, &sa, NULL);
    g_assert(r == 0);
}

int medium_guard_run(MediumGuardFunc func, void *data) {
    sigjmp_buf here;
    sigjmp_buf *volatile outer = innermost;

    if (sigsetjmp(here, 0) != 0) {
        innermost = outer;
        return -EIO;
    }
    innermost = &here;
    func(data);
    innermost = outer;
    return 0;
}
