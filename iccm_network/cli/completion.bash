# Bash completion of iccm: commands and options. It never contacts a server.
# bash loads the installed file automatically; zsh needs `autoload -U bashcompinit && bashcompinit` and `source`.

# The first word before the cursor that is neither an option nor the value of an option.
_iccm_command() {
  local i
  for ((i = 1; i < COMP_CWORD; i++)); do
    case ${COMP_WORDS[i]} in
    --timeout | --token | --trace | --count | --connections | --in-flight | --seconds | --server-pid | \
      --component | --level | --text | --since | --until | --lines | --late | --name | --server-version | \
      --description | --author | --command | --url | --listen | --stdio)
      [[ ${COMP_WORDS[i + 1]} == = ]] && ((i++))
      ((i++))
      ;;
    -*) ;;
    *)
      echo "${COMP_WORDS[i]}"
      return
      ;;
    esac
  done
}

_iccm() {
  local word=${COMP_WORDS[COMP_CWORD]} before=${COMP_WORDS[COMP_CWORD - 1]}
  local command options='--timeout --json --token --insecure --verbose --help --version' words=
  COMPREPLY=()
  if [[ $word == = || $before == = ]]; then # after --option=
    return
  fi
  case $before in
  --trace) words=new ;;
  --timeout | --token | --count | --connections | --in-flight | --seconds | --server-pid | \
    --component | --text | --since | --until | --lines | --late | --name | --server-version | \
    --description | --author | --command | --url | --listen | --stdio) ;;
  --level) words='TRACE DEBUG INFO WARN ERROR' ;;
  *)
    command=$(_iccm_command)
    case $command in
    '')
      options+=' --stdio'
      words='list call ping bench doctor bridge listen logs stats ready trace canary dead new manifest token'
      ;;
    list | doctor) options+=' --stdio' ;;
    call) options+=' --progress --trace --stdio' ;;
    bridge) options+=' --trace --listen --stdio' ;;
    ping) options+=' --count --stdio' ;;
    bench) options+=' --connections --in-flight --seconds --server-pid --stdio' ;;
    logs) options+=' --component --level --trace --text --since --until --lines --follow' ;;
    canary) options+=' --seconds --late' ;;
    dead) [[ $before == dead ]] && words='list replay discard' ;;
    token) options+=' --until' ;;
    manifest)
      options+=' --name --server-version --description --url --author --command'
      [[ $before == manifest ]] && words='server mcpb'
      ;;
    esac
    if [[ $word == -* ]]; then
      words=$options
    fi
    ;;
  esac
  COMPREPLY=($(compgen -W "$words" -- "$word"))
}

complete -F _iccm iccm
