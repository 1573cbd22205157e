// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.19;

/// Only what FlashRepay asks of an Aave V3 market beyond `IAavePool`, written from the contracts' public ABI.

interface IAaveReserves {
    /// The first nine words of what the pool tells of a reserve, the same in every version of V3: configuration, indexes and rates,
    /// time and number, then the aToken.
    function getReserveData(address asset) external view returns (uint256[8] memory unused, address aToken);
}
