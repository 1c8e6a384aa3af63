/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* SPDX-FileCopyrightText: The pmemd authors */
/* What polkit is asked, and what its answers are taken for. The test plays polkit, on a socket pair. */
#include "daemon/polkit.h"

#include <string.h>
#include <sys/socket.h>

/* pmemd's end, polkit's end, and what was said. */
typedef struct {
    sd_bus *bus, *authority;
    Polkit *polkit;
    sd_bus_message *question; /* the last, unanswered */
    char *cancelled;          /* id of the last CancelCheckAuthorization */
    guint answers;
    PolkitVerdict verdict;
    char *why;
} Host;

static int on_call(sd_bus_message *call, void *userdata, sd_bus_error *ret_error) {
    Host *host = userdata;
    const char *id;

    if (sd_bus_message_is_method_call(call, "org.freedesktop.PolicyKit1.Authority", "CheckAuthorization") > 0) {
        g_assert_cmpstr(sd_bus_message_get_destination(call), ==, "org.freedesktop.PolicyKit1");
        g_assert_cmpstr(sd_bus_message_get_path(call), ==, "/org/freedesktop/PolicyKit1/Authority");
        sd_bus_message_unref(host->question);
        host->question = sd_bus_message_ref(call);
        return 1;
    }
    if (sd_bus_message_is_method_call(call, "org.freedesktop.PolicyKit1.Authority", "CancelCheckAuthorization") > 0) {
        g_assert_cmpint(sd_bus_message_read(call, "s", &id), >, 0);
        g_assert_cmpint(sd_bus_message_get_expect_reply(call), ==, 0);
        g_free(host->cancelled);
        host->cancelled = g_strdup(id);
        return 1;
    }
    return 0;
}

static void settle(const Host *host) {
    int more;

    do {
        int a = sd_bus_process(host->authority, NULL), b = sd_bus_process(host->bus, NULL);
        g_assert_cmpint(a, >=, 0);
        g_assert_cmpint(b, >=, 0);
        more = a + b;
    } while (more > 0);
}

static Host *host_new(void) {
    Host *host = g_new0(Host, 1);
    sd_id128_t id;
    int pair[2];

    g_assert_cmpint(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, pair), ==, 0);
    g_assert_cmpint(sd_id128_randomize(&id), >=, 0);
    g_assert_cmpint(sd_bus_new(&host->authority), >=, 0);
    g_assert_cmpint(sd_bus_set_fd(host->authority, pair[0], pair[0]), >=, 0);
    g_assert_cmpint(sd_bus_set_server(host->authority, true, id), >=, 0);
    g_assert_cmpint(sd_bus_set_anonymous(host->authority, true), >=, 0);
    g_assert_cmpint(sd_bus_start(host->authority), >=, 0);
    g_assert_cmpint(sd_bus_add_filter(host->authority, NULL, on_call, host), >=, 0);
    g_assert_cmpint(sd_bus_new(&host->bus), >=, 0);
    g_assert_cmpint(sd_bus_set_fd(host->bus, pair[1], pair[1]), >=, 0);
    g_assert_cmpint(sd_bus_start(host->bus), >=, 0);
    host->polkit = polkit_new(host->bus);
    return host;
}

static void host_free(Host *host) {
    polkit_free(host->polkit);
    sd_bus_message_unref(host->question);
    sd_bus_close_unref(host->bus);
    sd_bus_close_unref(host->authority);
    g_free(host->cancelled);
    g_free(host->why);
    g_free(host);
}

G_DEFINE_AUTOPTR_CLEANUP_FUNC(Host, host_free)

static void on_done(void *data, PolkitVerdict verdict, const char *why) {
    Host *host = data;

    host->answers++;
    host->verdict = verdict;
    g_free(host->why);
    host->why = g_strdup(why);
}

static PolkitCheck *ask(Host *host, bool interactive) {
    static const PolkitDetail details[] = { { "verb", "ReleaseData" }, { "region", "pool0/guest0" }, { NULL } };
    g_autoptr(GError) error = NULL;
    PolkitCheck *check =
        polkit_check(host->polkit, ":1.7", "org.pmemd1.release", details, interactive, on_done, host, &error);

    g_assert_no_error(error);
    g_assert_nonnull(check);
    settle(host);
    g_assert_cmpuint(host->answers, ==, 0);
    g_assert_nonnull(host->question);
    return check;
}

/* Reads the question; its cancellation id. */
static const char *check_question(const Host *host, uint32_t flags) {
    const char *kind, *key, *name, *action, *detail[4], *id;
    uint32_t given;

    g_assert_cmpint(sd_bus_message_read(host->question, "(sa{sv})s", &kind, 1, &key, "s", &name, &action), >, 0);
    g_assert_cmpstr(kind, ==, "system-bus-name");
    g_assert_cmpstr(key, ==, "name");
    g_assert_cmpstr(name, ==, ":1.7");
    g_assert_cmpstr(action, ==, "org.pmemd1.release");
    g_assert_cmpint(
        sd_bus_message_read(host->question, "a{ss}us", 2, &detail[0], &detail[1], &detail[2], &detail[3], &given, &id),
        >, 0);
    g_assert_cmpstr(detail[0], ==, "verb");
    g_assert_cmpstr(detail[1], ==, "ReleaseData");
    g_assert_cmpstr(detail[2], ==, "region");
    g_assert_cmpstr(detail[3], ==, "pool0/guest0");
    g_assert_cmphex(given, ==, flags);
    g_assert_cmpstr(id, !=, "");
    return id;
}

static void test_the_question(void) {
    g_autoptr(Host) host = host_new();
    PolkitCheck *check = ask(host, false);
    g_autofree char *id = g_strdup(check_question(host, 0));

    polkit_check_cancel(check);
    check = ask(host, true);
    g_assert_cmpstr(check_question(host, 1), !=, id); /* one id a question */
    polkit_check_cancel(check);
}

static void test_answers(void) {
    static const struct {
        int authorized, challenge;
        const char *key, *value;
        PolkitVerdict verdict;
    } rows[] = {
        { 1, 0, "x", "y", POLKIT_YES },
        { 1, 1, "polkit.retains_authorization_after_challenge", "1", POLKIT_YES },
        { 0, 0, "x", "y", POLKIT_NO },
        { 0, 1, "x", "y", POLKIT_CHALLENGE },
        { 0, 1, "polkit.dismissed", "true", POLKIT_DISMISSED },
    };

    for (guint i = 0; i < G_N_ELEMENTS(rows); i++) {
        g_autoptr(Host) host = host_new();

        ask(host, false);
        g_assert_cmpint(sd_bus_reply_method_return(host->question, "(bba{ss})", rows[i].authorized, rows[i].challenge,
                                                   1, rows[i].key, rows[i].value),
                        >=, 0);
        settle(host);
        g_assert_cmpuint(host->answers, ==, 1);
        g_assert_cmpint(host->verdict, ==, rows[i].verdict);
        g_assert_cmpstr(host->why, ==, "");
        g_assert_null(host->cancelled);
    }
}

static void test_answers_of_no_use(void) {
    static const struct {
        const char *name;
        PolkitVerdict verdict;
    } rows[] = {
        { "org.freedesktop.DBus.Error.ServiceUnknown", POLKIT_ABSENT },
        { "org.freedesktop.DBus.Error.NameHasNoOwner", POLKIT_ABSENT },
        { "org.freedesktop.DBus.Error.Spawn.ExecFailed", POLKIT_ABSENT },
        { "org.freedesktop.systemd1.UnitMasked", POLKIT_ABSENT },
        { "org.freedesktop.DBus.Error.AccessDenied", POLKIT_FAILED },
        { "org.freedesktop.DBus.Error.NoReply", POLKIT_FAILED }, /* it left: the time is not over */
        { "org.freedesktop.PolicyKit1.Error.Failed", POLKIT_FAILED },
    };

    for (guint i = 0; i < G_N_ELEMENTS(rows); i++) {
        g_autoptr(Host) host = host_new();

        ask(host, false);
        g_assert_cmpint(sd_bus_reply_method_errorf(host->question, rows[i].name, "because %u", i), >=, 0);
        settle(host);
        g_assert_cmpuint(host->answers, ==, 1);
        g_assert_cmpint(host->verdict, ==, rows[i].verdict);
        g_assert_true(g_str_has_prefix(host->why, "because"));
    }

    g_autoptr(Host) host = host_new();
    ask(host, false);
    g_assert_cmpint(sd_bus_reply_method_return(host->question, "b", 1), >=, 0);
    settle(host);
    g_assert_cmpint(host->verdict, ==, POLKIT_FAILED);
}

static void test_cancelled(void) {
    g_autoptr(Host) host = host_new();
    PolkitCheck *check = ask(host, true);
    const char *id = check_question(host, 1);

    polkit_check_cancel(check);
    settle(host);
    g_assert_cmpstr(host->cancelled, ==, id);
    g_assert_cmpint(sd_bus_reply_method_return(host->question, "(bba{ss})", 1, 0, 0), >=, 0);
    settle(host);
    g_assert_cmpuint(host->answers, ==, 0);
    polkit_check_cancel(NULL);
}

static void test_patience(void) {
    g_autoptr(Host) host = host_new();
    uint64_t when;

    g_assert_cmpuint(polkit_timeout(false), ==, 10 * G_USEC_PER_SEC);
    g_assert_cmpuint(polkit_timeout(true), ==, 120 * G_USEC_PER_SEC);
    for (guint interactive = 0; interactive < 2; interactive++) {
        gint64 before = g_get_monotonic_time();
        PolkitCheck *check = ask(host, interactive);

        g_assert_cmpint(sd_bus_get_timeout(host->bus, &when), >=, 0);
        g_assert_cmpuint(when, >=, (uint64_t) before + polkit_timeout(interactive));
        g_assert_cmpuint(when, <=, (uint64_t) g_get_monotonic_time() + polkit_timeout(interactive));
        polkit_check_cancel(check);
        settle(host);
    }
}

static void test_cannot_be_asked(void) {
    static const PolkitDetail none[] = { { NULL } };
    g_autoptr(Host) host = host_new();
    g_autoptr(GError) error = NULL;

    sd_bus_close(host->bus);
    g_assert_null(polkit_check(host->polkit, ":1.7", "org.pmemd1.release", none, false, on_done, host, &error));
    g_assert_nonnull(strstr(error->message, "org.pmemd1.release"));
}

int main(int argc, char **argv) {
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/polkit/the-question", test_the_question);
    g_test_add_func("/polkit/answers", test_answers);
    g_test_add_func("/polkit/answers-of-no-use", test_answers_of_no_use);
    g_test_add_func("/polkit/cancelled", test_cancelled);
    g_test_add_func("/polkit/patience", test_patience);
    g_test_add_func("/polkit/cannot-be-asked", test_cannot_be_asked);
    return g_test_run();
}
