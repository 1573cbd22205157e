// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.19;

import {IERC20} from "./interfaces.sol";

/// @title ERC-20 calls that also fit tokens which return nothing
library Tokens {
    error TokenCallFailed(address token, bytes4 selector);

    function held(address token) internal view returns (uint256) {
        return IERC20(token).balanceOf(address(this));
    }

    function send(address token, address to, uint256 amount) internal {
        if (amount != 0) _call(token, abi.encodeWithSelector(0xa9059cbb, to, amount));
    }

    function pull(address token, address from, uint256 amount) internal {
        _call(token, abi.encodeWithSelector(0x23b872dd, from, address(this), amount));
    }

    function approve(address token, address spender, uint256 amount) internal {
        _call(token, abi.encodeWithSelector(0x095ea7b3, spender, amount));
    }

    function _call(address token, bytes memory data) private {
        (bool ok, bytes memory answer) = token.call(data);
        if (!ok || token.code.length == 0 || (answer.length != 0 && !abi.decode(answer, (bool)))) {
            revert TokenCallFailed(token, bytes4(data));
        }
    }
}
