/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* SPDX-FileCopyrightText: The pmemd authors */
/*
 * One thread that runs tasks in order, and hands each back to the loop when it is done. Promises: run() is called on
 * the worker's thread, done() on the loop's, in the order of submission; the thread touches nothing but the task's
 * data. Used by the manager (backend) and by the eraser.
 */
#pragma once

#include <glib.h>
#include <stdbool.h>
#include <systemd/sd-event.h>

typedef struct Worker Worker;

typedef void (*WorkerFunc)(void *data);

/* name: of the thread, at most 15 bytes. Errors: INTERNAL (no thread, no eventfd). */
Worker *worker_new(sd_event *event, const char *name, GError **error);
/* Waits for the tasks submitted so far, ends the thread, and calls their done() here and now. Nothing may be
 * submitted after. */
void worker_drain(Worker *worker);
/* Waits for the tasks submitted so far to run, joins the thread, drops their done() calls (data is freed by
 * free_func). */
void worker_free(Worker *worker);

/* run and free_func (may be NULL) get data; free_func is called on the loop's thread after done, or instead of it. */
void worker_submit(Worker *worker, WorkerFunc run, WorkerFunc done, WorkerFunc free_func, void *data);

G_DEFINE_AUTOPTR_CLEANUP_FUNC(Worker, worker_free)
