# SPDX-License-Identifier: LGPL-2.1-or-later
# SPDX-FileCopyrightText: The pmemd authors
# shellcheck shell=bash
#
# Completion of pmemctl's command line for bash. Verbs and options come from pmemctl itself (list-cmds), names, uuids and
# nodes from the pmemd that the command line names. On another host nothing is asked: ssh might want a password.

# _pmemctl_ask_lines FIELD... : the lists
_pmemctl_ask_lines() {
    [[ -z $remote ]] || return
    "$program" "${connection[@]}" --no-ask-password list --no-legend "$@" 2>/dev/null
}

# _pmemctl_ask FIELD... : words of the lists, of all lines, without the '-' that stands for nothing
_pmemctl_ask() {
    _pmemctl_ask_lines "$@" | tr -s ' ' '\n' | grep -vx -- -
}

# Data regions by all that names them: NAME alone may be that of several pools.
_pmemctl_data() {
    local -A pools=()
    local uuid name

    while read -r uuid name; do
        [[ $name == - ]] || pools[$uuid]=$name
    done < <(_pmemctl_ask_lines --mgmt --columns=uuid,name)
    _pmemctl_ask --data --columns=uuid,name
    while read -r uuid name; do
        [[ $name == - ]] || echo "${pools[$uuid]:-$uuid}/$name"
    done < <(_pmemctl_ask_lines --data --columns=pool,name)
}

# The same of the list of leases.
_pmemctl_leases() {
    [[ -z $remote ]] || return
    "$program" "${connection[@]}" --no-ask-password leases --no-legend --columns="$1" 2>/dev/null | tr -s ' ' '\n' | grep -vx -- -
}

# What an option that takes a value takes.
_pmemctl_values() {
    local keys before

    case $1 in
    --format) [[ $verb == metrics ]] && echo openmetrics prometheus || echo table json xen-ndctl ;;
    --output) compgen -f -- "$2" ;;
    # Words alone: an owner with blanks is none that could be typed so.
    --owner) if [[ $verb == detach ]]; then _pmemctl_leases owner; elif [[ $verb == adopt ]]; then compgen -u; fi ;;
    --profile) echo xen linux none ;;
    --bus) echo system session ;;
    -H | --host) compgen -A hostname ;;
    --mgmt) _pmemctl_ask --mgmt --columns=uuid,name ;;
    # OLD is in the file alone.
    --map) [[ $2 != *=* ]] || printf -- "${2%"${2##*=}"}%s\n" $(_pmemctl_ask --raw --columns=id) ;;
    # That of a guest is unknown here.
    --node) [[ $verb == domain-xml || $verb == qemu-args ]] || _pmemctl_ask --raw --columns=node | sort -u ;;
    --columns)
        keys="id uuid name start_frame end_frame bytes free_bytes largest_gap used_frames free_frames node local_node step
            lead minimum kind mode raw persistence data_regions profile pool extent_start extent_end state dirty owner_uid
            owner lease_owner device_path"
        [[ $verb != import ]] || keys="kind pool name uuid start_frame end_frame bytes result now_start_frame now_end_frame
            now_uuid owner note"
        [[ $verb != locate ]] || keys="address frame kind part offset uuid name state owner_uid owner lease_owner lease_uid lease_user guest_frame path
            pool extent_of device mode foreign_kind raw node"
        [[ $verb != leases ]] || keys="uuid name pool owner uid user since_usec until confirmed guest_frame"
        [[ $verb != pool ]] || keys="name uuid enabled libvirt directory mounted problem"
        # Each key after a comma, with all that stands before it.
        before=${2%"${2##*,}"}
        printf -- "$before%s\n" $keys
        ;;
    esac
}

# What the argument number $2 of verb $1 is.
_pmemctl_arguments() {
    case $1:$2 in
    show:0 | release:0 | rename:0 | set-owner:0)
        _pmemctl_ask --mgmt --columns=uuid,name
        _pmemctl_data
        ;;
    clear-bad-frames:0)
        _pmemctl_ask --raw --columns=id
        _pmemctl_data
        ;;
    export:0) _pmemctl_ask --mgmt --columns=uuid,name ;;
    pool:0) echo list enable disable ;;
    pool:1) _pmemctl_ask --mgmt --columns=uuid,name ;;
    journal:0) echo check show repair ;;
    journal:1) _pmemctl_ask --mgmt --columns=uuid,name; compgen -f -- "$current" ;;
    labels:0) echo check repair ;;
    labels:1) _pmemctl_ask --raw --columns=id; compgen -f -- "$current" ;;
    adopt:0) _pmemctl_ask --foreign --columns=name; _pmemctl_ask --mgmt --columns=name ;;
    forget:0) _pmemctl_ask --foreign --columns=name; _pmemctl_data ;;
    import:0) compgen -f -- "$current" ;;
    export-data:1 | import-data:1) compgen -f -- "$current" ;;
    domain-xml:0 | qemu-args:0 | attach:0 | export-data:0 | import-data:0) _pmemctl_data ;;
    detach:0) _pmemctl_leases uuid,name ;;
    set-owner:1) compgen -u ;;
    help:0 | list-cmds:0) "$program" list-cmds 2>/dev/null ;;
    esac
}

_pmemctl() {
    local program=$1 line=${COMP_LINE:0:COMP_POINT} current option='' verb='' planned='' remote='' options word replies prefix
    local -a words connection=()
    local -i i arguments=0

    # Not COMP_WORDS, which readline breaks at '=' and ':'; pmemctl's words hold no blanks.
    read -ra words <<<"$line"
    [[ $line != *[[:space:]] ]] || words+=('')
    current=${words[-1]}
    options=$("$program" list-cmds help 2>/dev/null)

    for ((i = 1; i < ${#words[@]} - 1; i++)); do
        word=${words[i]}
        case $word in
        -H | --host | --host=* | -H*) remote=yes ;;
        --bus=*) connection=("$word") ;;
        esac
        # An option whose value is the next word.
        if [[ $word == -H || ($word == --* && $'\n'$options$'\n' == *$'\n'"$word="$'\n'*) ]]; then
            if ((i == ${#words[@]} - 2)); then
                option=$word
            elif [[ $word == --bus ]]; then
                connection=("--bus=${words[i + 1]}")
            fi
            i+=1
        elif [[ $word != -* ]]; then
            if [[ -z $verb || ($verb == plan && -z $planned) ]]; then
                [[ -z $verb ]] || planned=$word
                [[ -n $verb ]] || verb=$word
                options=$("$program" list-cmds "$word" 2>/dev/null)
            else
                arguments+=1
            fi
        fi
    done

    if [[ -n $option ]]; then
        replies=$(_pmemctl_values "$option" "$current")
    elif [[ $current == --*=* ]]; then
        option=${current%%=*}
        replies=$(printf -- "$option=%s\n" $(_pmemctl_values "$option" "${current#*=}"))
    elif [[ $current == -* ]]; then
        replies=$options
    elif [[ -z $verb ]]; then
        replies=$("$program" list-cmds 2>/dev/null)
    elif [[ $verb == plan && -z $planned ]]; then
        replies='setup-mgmt setup-data allocate-mgmt allocate-data'
    else
        replies=$(_pmemctl_arguments "$verb" "$arguments")
    fi

    mapfile -t COMPREPLY < <(compgen -W "$replies" -- "$current")
    # After an option that takes a value stands the value, not a blank.
    [[ ${#COMPREPLY[@]} != 1 || ${COMPREPLY[0]} != *= ]] || compopt -o nospace 2>/dev/null
    # Readline puts in only what follows the last character that breaks words.
    prefix=${current%"${current##*[=:]}"}
    [[ -z $prefix || $COMP_WORDBREAKS != *"${prefix: -1}"* ]] || COMPREPLY=("${COMPREPLY[@]#"$prefix"}")
}

complete -F _pmemctl pmemctl
