/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* SPDX-FileCopyrightText: The pmemd authors */
#include "daemon/patience.h"

struct Patience {
    int64_t first, next; /* microseconds; of the asking thread alone */
    gatomicrefcount refs;
    GMutex lock;
    GCond ended;   /* of any question */
    guint hanging; /* questions that nobody waits for any more */
};

typedef struct {
    Patience *patience;
    void (*run)(void *data);
    void *data;
    GDestroyNotify free_func;
    bool done, abandoned; /* under the lock */
} Question;

Patience *patience_new(void) {
    Patience *patience = g_new0(Patience, 1);

    g_atomic_ref_count_init(&patience->refs);
    g_mutex_init(&patience->lock);
    g_cond_init(&patience->ended);
    patience_set_waits(patience, PATIENCE_FIRST, PATIENCE_NEXT);
    return patience;
}

void patience_set_waits(Patience *patience, int64_t first, int64_t next) {
    patience->first = first;
    patience->next = next;
}

void patience_unref(Patience *patience) {
    if (!patience || !g_atomic_ref_count_dec(&patience->refs))
        return;
    g_mutex_clear(&patience->lock);
    g_cond_clear(&patience->ended);
    g_free(patience);
}

static void question_free(Question *question) {
    patience_unref(question->patience);
    g_free(question);
}

static gpointer answer(gpointer data) {
    Question *question = data;
    Patience *patience = question->patience;

    question->run(question->data);
    g_mutex_lock(&patience->lock);
    question->done = true;
    bool abandoned = question->abandoned;
    if (abandoned)
        patience->hanging--;
    g_cond_broadcast(&patience->ended);
    g_mutex_unlock(&patience->lock);
    if (abandoned) {
        question->free_func(question->data);
        question_free(question);
    }
    return NULL;
}

/* Under the lock. */
static bool wait_for(Patience *patience, Question *question) {
    int64_t until = g_get_monotonic_time() + (patience->hanging == 0 ? patience->first : patience->next);

    while (!question->done)
        if (!g_cond_wait_until(&patience->ended, &patience->lock, until))
            break;
    if (question->done)
        return true;
    question->abandoned = true;
    patience->hanging++;
    return false;
}

bool patience_run(Patience *patience, void (*run)(void *data), void *data, GDestroyNotify free_func) {
    if (!patience) {
        run(data);
        return true;
    }

    g_mutex_lock(&patience->lock);
    bool full = patience->hanging >= PATIENCE_HANGING;
    g_mutex_unlock(&patience->lock);
    Question *question = g_new(Question, 1);
    *question = (Question){ .patience = patience, .run = run, .data = data, .free_func = free_func };
    g_atomic_ref_count_inc(&patience->refs);
    GThread *thread = full ? NULL : g_thread_try_new("names", answer, question, NULL);
    if (!thread) {
        question_free(question);
        free_func(data);
        return false;
    }
    g_mutex_lock(&patience->lock);
    bool done = wait_for(patience, question);
    g_mutex_unlock(&patience->lock);
    if (done) {
        /* It has left the lock, or is about to. */
        g_thread_join(thread);
        question_free(question);
    } else {
        g_thread_unref(thread);
    }
    return done;
}
