#compdef pmemctl
# SPDX-License-Identifier: LGPL-2.1-or-later
# SPDX-FileCopyrightText: The pmemd authors
#
# Completion of pmemctl's command line for zsh. Verbs and options come from pmemctl itself (list-cmds), names, uuids and
# nodes from the pmemd that the command line names. On another host nothing is asked: ssh might want a password.

# The lists.
_pmemctl_ask_lines() {
    [[ -z $remote ]] || return 0
    $program $connection --no-ask-password list --no-legend $@ 2>/dev/null
}

# Words of the lists, of all lines, without the '-' that stands for nothing.
_pmemctl_ask() {
    print -rl -- ${(u)${=${(f)"$(_pmemctl_ask_lines $@)"}}:#-}
}

# Data regions by all that names them: NAME alone may be that of several pools.
_pmemctl_data() {
    local -A pools
    local uuid name

    _pmemctl_ask_lines --mgmt --columns=uuid,name | while read -r uuid name; do
        [[ $name == - ]] || pools[$uuid]=$name
    done
    _pmemctl_ask --data --columns=uuid,name
    _pmemctl_ask_lines --data --columns=pool,name | while read -r uuid name; do
        [[ $name == - ]] || print -r -- "${pools[$uuid]:-$uuid}/$name"
    done
}

# The same of the list of leases.
_pmemctl_leases() {
    [[ -z $remote ]] || return 0
    print -rl -- ${(u)${=${(f)"$($program $connection --no-ask-password leases --no-legend --columns=$1 2>/dev/null)"}}:#-}
}

# What an option that takes a value takes.
_pmemctl_values() {
    case $1 in
    --format)
        if [[ $verb == metrics ]]; then compadd -- openmetrics prometheus; else compadd -- table json xen-ndctl; fi
        ;;
    --output) _files ;;
    # Words alone: an owner with blanks is none that could be typed so.
    --owner)
        if [[ $verb == detach ]]; then
            compadd -- ${(f)"$(_pmemctl_leases owner)"}
        elif [[ $verb == adopt ]]; then
            _users
        else
            _message owner
        fi
        ;;
    --profile) compadd -- xen linux none ;;
    --bus) compadd -- system session ;;
    -H | --host) _hosts ;;
    --mgmt) compadd -- ${(f)"$(_pmemctl_ask --mgmt --columns=uuid,name)"} ;;
    --map)
        # OLD is in the file alone.
        if [[ $current == *=*=* || ( -n $option && $current == *=* && $current != --* ) ]]; then
            compset -P '*='
            compadd -- ${(f)"$(_pmemctl_ask --raw --columns=id)"}
        else _message 'OLD=NEW'; fi
        ;;
    --node)
        # That of a guest is unknown here.
        if [[ $verb == (domain-xml|qemu-args) ]]; then _message node
        else compadd -- ${(f)"$(_pmemctl_ask --raw --columns=node)"}; fi
        ;;
    --columns)
        compset -P '*,'
        if [[ $verb == locate ]]; then
            compadd -S '' -- address frame kind part offset uuid name state owner_uid owner lease_owner lease_uid lease_user guest_frame \
                path pool extent_of device mode foreign_kind raw node
            return
        fi
        if [[ $verb == leases ]]; then
            compadd -S '' -- uuid name pool owner uid user since_usec until confirmed guest_frame
            return
        fi
        if [[ $verb == pool ]]; then
            compadd -S '' -- name uuid enabled libvirt directory mounted problem
            return
        fi
        if [[ $verb == import ]]; then
            compadd -S '' -- kind pool name uuid start_frame end_frame bytes result now_start_frame now_end_frame now_uuid \
                owner note
            return
        fi
        compadd -S '' -- id uuid name start_frame end_frame bytes free_bytes largest_gap used_frames free_frames node \
            local_node step lead minimum kind mode raw persistence data_regions profile pool extent_start extent_end state \
            dirty owner_uid owner lease_owner device_path
        ;;
    *) _message value ;;
    esac
}

# What the argument number $2 of verb $1 is.
_pmemctl_arguments() {
    case $1:$2 in
    show:0 | release:0 | rename:0 | set-owner:0)
        compadd -- ${(f)"$(_pmemctl_ask --mgmt --columns=uuid,name)"} ${(f)"$(_pmemctl_data)"}
        ;;
    clear-bad-frames:0)
        compadd -- ${(f)"$(_pmemctl_ask --raw --columns=id)"} ${(f)"$(_pmemctl_data)"}
        ;;
    export:0) compadd -- ${(f)"$(_pmemctl_ask --mgmt --columns=uuid,name)"} ;;
    pool:0) compadd -- list enable disable ;;
    pool:1) compadd -- ${(f)"$(_pmemctl_ask --mgmt --columns=uuid,name)"} ;;
    journal:0) compadd -- check show repair ;;
    journal:1) compadd -- ${(f)"$(_pmemctl_ask --mgmt --columns=uuid,name)"}; _files ;;
    labels:0) compadd -- check repair ;;
    labels:1) compadd -- ${(f)"$(_pmemctl_ask --raw --columns=id)"}; _files ;;
    adopt:0) compadd -- ${(f)"$(_pmemctl_ask --foreign --columns=name)"} ${(f)"$(_pmemctl_ask --mgmt --columns=name)"} ;;
    forget:0) compadd -- ${(f)"$(_pmemctl_ask --foreign --columns=name)"} ${(f)"$(_pmemctl_data)"} ;;
    import:0) _files ;;
    export-data:1 | import-data:1) _files ;;
    domain-xml:0 | qemu-args:0 | attach:0 | export-data:0 | import-data:0) compadd -- ${(f)"$(_pmemctl_data)"} ;;
    detach:0) compadd -- ${(f)"$(_pmemctl_leases uuid,name)"} ;;
    set-owner:1) _users ;;
    help:0 | list-cmds:0) compadd -- ${(f)"$($program list-cmds 2>/dev/null)"} ;;
    *) _message argument ;;
    esac
}

_pmemctl() {
    local program=$words[1] current=$words[CURRENT] option verb planned remote word
    local -a options connection
    local -i i arguments=0

    options=(${(f)"$($program list-cmds help 2>/dev/null)"})
    for ((i = 2; i < CURRENT; i++)); do
        word=$words[i]
        case $word in
        (-H | --host | --host=* | -H*) remote=yes ;;
        (--bus=*) connection=($word) ;;
        esac
        # An option whose value is the next word.
        if [[ $word == -H || ( $word == --* && -n ${options[(re)$word=]} ) ]]; then
            if ((i == CURRENT - 1)); then
                option=$word
            elif [[ $word == --bus ]]; then
                connection=(--bus=$words[i+1])
            fi
            ((i++))
        elif [[ $word != -* ]]; then
            if [[ -z $verb || ( $verb == plan && -z $planned ) ]]; then
                [[ -z $verb ]] || planned=$word
                [[ -n $verb ]] || verb=$word
                options=(${(f)"$($program list-cmds $word 2>/dev/null)"})
            else
                ((arguments++))
            fi
        fi
    done

    if [[ -n $option ]]; then
        _pmemctl_values $option
    elif [[ $current == --*=* ]]; then
        compset -P '*='
        _pmemctl_values ${current%%=*}
    elif [[ $current == -* ]]; then
        compadd -S '' -- ${(M)options:#*=}
        compadd -- ${options:#*=}
    elif [[ -z $verb ]]; then
        compadd -- ${(f)"$($program list-cmds 2>/dev/null)"}
    elif [[ $verb == plan && -z $planned ]]; then
        compadd -- setup-mgmt setup-data allocate-mgmt allocate-data
    else
        _pmemctl_arguments $verb $arguments
    fi
}

_pmemctl "$@"
